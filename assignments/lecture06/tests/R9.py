from otter.test_files import test_case

OK_FORMAT = False

name = "R9"
points = 4

@test_case(points=None, hidden=False)
def test_three_steps_of_training(env):
    import copy
    import torch
    from torch.func import functional_call
    from torch.nn.functional import cross_entropy
    from src.checks import FLOAT64, answer, checking, compare, require
    with checking('R9'):
        train = answer(env, 'R9', 'train')
        ResidualMLP = answer(env, 'R3', 'ResidualMLP')
        torch.manual_seed(0)
        model = ResidualMLP(27, 3, 4, 8, 10, 2).double()
        inputs, targets = (torch.randint(27, (200, 3)), torch.randint(27, (200,)))
        twin, wanted = (copy.deepcopy(model), [])
        weights = dict(twin.named_parameters())
        draws = torch.Generator().manual_seed(5)
        for _ in range(3):
            rows = torch.randint(200, (16,), generator=draws)
            value = cross_entropy(functional_call(twin, weights, (inputs[rows],)), targets[rows])
            slopes = torch.autograd.grad(value, list(weights.values()))
            moved = [weight - 0.2 * slope for weight, slope in zip(weights.values(), slopes, strict=True)]
            weights = {name: weight.detach().requires_grad_() for name, weight in zip(weights, moved, strict=True)}
            wanted.append(value.item())
        losses = train(model.eval(), inputs, targets, 3, 0.2, 16, torch.Generator().manual_seed(5))
        require(isinstance(losses, list), f'train returned a {type(losses).__name__}; it should return a list')
        require(all((isinstance(loss, float) for loss in losses)), 'the losses are not Python floats; use .item()')
        compare('the number of losses', len(losses), 3)
        require(model.training, 'the model is in evaluation mode after training')
        require(model.norm_f.running_mean.abs().sum() > 0, 'the running statistics of the norms were not updated')
        compare('the loss of the first step', losses[0], wanted[0], **FLOAT64)
        compare('the losses of three steps', torch.tensor(losses), torch.tensor(wanted), rtol=1e-06, atol=1e-06)
        compare('head.bias after three steps', model.head.bias, weights['head.bias'], **FLOAT64)

