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
        each = [slopes[f'blocks.{i}.fc1.weight'] for i in range(5)]
        target = torch.stack([slope.square().sum().sqrt() for slope in each])
        slips = {'leaving out the square root': target.square(), 'the largest entry instead of the norm': torch.stack([slope.abs().max() for slope in each]), 'adding up the absolute values': torch.stack([slope.abs().sum() for slope in each]), 'averaging the squares; add them up': target / 8, 'summing the loss over the examples; average': 40 * target, 'the order from the last block to the first': target.flip(0)}
        yours = grad_norms(model, inputs, targets)
        require(isinstance(yours, torch.Tensor), f'grad_norms returned a {type(yours).__name__}; it should return a tensor (L,)')
        compare('grad_norms(model, inputs, targets)', yours, target, rtol=1e-06, atol=1e-09, slips=slips)
        require(all((weight.grad is None for weight in model.parameters())), 'the call left gradients in `.grad`; the next training step would use them')
        require(model.training, 'the model was in training mode before the call and is in evaluation mode now')
        require(all((torch.equal(weight, start[name]) for name, weight in model.named_parameters())), "the call changed the model's weights; it should only measure")
        kept = {}
        for number, (name, weight) in enumerate(model.named_parameters()):
            kept[name] = torch.full_like(weight, float(number))
            weight.grad = kept[name].clone()
        again = grad_norms(model, inputs, targets)
        for name, weight in model.named_parameters():
            require(weight.grad is not None and torch.equal(weight.grad, kept[name]), f'the call changed a `.grad` that was there before (of {name})')
        compare('grad_norms with old gradients in `.grad`', again, target, rtol=1e-06, atol=1e-09)

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
            found = {}
            for mode in (training, not training):
                twin = copy.deepcopy(model).train(mode)
                cross_entropy(twin(inputs), targets).backward()
                found[mode] = torch.stack([block.fc1.weight.grad.square().sum().sqrt() for block in twin.blocks])
            mode, other = ('training', 'evaluation') if training else ('evaluation', 'training')
            slips = {f'using the model in {other} mode; use it in the mode it is in': found[not training]}
            yours = grad_norms(model.train(training), inputs, targets)
            compare(f'the norms of a network in {mode} mode', yours, found[training], rtol=1e-06, atol=1e-09, slips=slips)
            require(model.training == training, f'the model was in {mode} mode before the call and is not now')

