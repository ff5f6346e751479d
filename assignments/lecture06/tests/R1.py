from otter.test_files import test_case

OK_FORMAT = False

name = "R1"
points = 4

@test_case(points=None, hidden=False)
def test_gradient_norms_of_a_plain_network(env):
    import torch
    from torch.func import functional_call, grad
    from torch.nn.functional import cross_entropy
    from src.checks import answer, checking, compare, require
    with checking('R1'):
        grad_norms = answer(env, 'R1', 'grad_norms')
        require('PlainMLP' in env, 'PlainMLP is not defined; run the given cell that defines it, then re-run this check')
        torch.manual_seed(0)
        model = env['PlainMLP'](27, 3, 4, 8, 5).double()
        inputs, targets = (torch.randint(27, (40, 3)), torch.randint(27, (40,)))
        start = {name: weight.detach().clone() for name, weight in model.named_parameters()}
        slopes = grad(lambda w: cross_entropy(functional_call(model, w, (inputs,)), targets))(start)
        target = [slopes[f'blocks.{i}.fc1.weight'].square().sum().item() ** 0.5 for i in range(5)]
        yours = grad_norms(model, inputs, targets)
        require(isinstance(yours, torch.Tensor), f'grad_norms returned a {type(yours).__name__}; it should return a tensor (L,)')
        compare('grad_norms(model, inputs, targets)', yours, torch.tensor(target, dtype=torch.float64), rtol=1e-06, atol=1e-09)
        require(all((weight.grad is None for weight in model.parameters())), 'the call left gradients in `.grad`; the next training step would use them')
        require(model.training, 'the model was in training mode before the call and is in evaluation mode now')
        require(all((torch.equal(weight, start[name]) for name, weight in model.named_parameters())), "the call changed the model's weights; it should only measure")

@test_case(points=None, hidden=False)
def test_gradient_norms_of_a_network_with_a_norm(env):
    import copy
    import torch
    from torch.nn.functional import cross_entropy
    from src.checks import answer, checking, compare, require

    class Block(torch.nn.Module):

        def __init__(self):
            super().__init__()
            self.norm, self.fc1 = (torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 8))

        def forward(self, x):
            return x + self.fc1(self.norm(x)).tanh()

    class Net(torch.nn.Module):

        def __init__(self):
            super().__init__()
            self.embedding, self.head = (torch.nn.Embedding(27, 8), torch.nn.Linear(8, 27))
            self.blocks = torch.nn.Sequential(Block(), Block(), Block())

        def forward(self, tokens):
            return self.head(self.blocks(self.embedding(tokens).sum(1)))
    with checking('R1'):
        grad_norms = answer(env, 'R1', 'grad_norms')
        torch.manual_seed(0)
        model = Net().double()
        inputs, targets = (torch.randint(27, (40, 3)), torch.randint(27, (40,)))
        model(inputs)
        for training in (True, False):
            twin = copy.deepcopy(model.train(training))
            cross_entropy(twin(inputs), targets).backward()
            target = torch.stack([block.fc1.weight.grad.square().sum().sqrt() for block in twin.blocks])
            mode = 'training' if training else 'evaluation'
            compare(f'the norms of a network in {mode} mode', grad_norms(model, inputs, targets), target, rtol=1e-06, atol=1e-09)
            require(model.training == training, f'the model was in {mode} mode before the call and is not now')

