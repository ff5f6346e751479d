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
        draws, generator, third = (torch.Generator().manual_seed(5) for _ in range(3))
        for one in (draws, generator, third):
            torch.rand(2, generator=one)
        batches = [torch.randint(200, (16,), generator=draws) for _ in range(3)]

        def trained(training=True, accumulate=False, decay=0.0, rate=0.2):
            """Losses and last weights of three steps, by way of functional_call."""
            twin, losses, total = (copy.deepcopy(model).train(training), [], None)
            weights = dict(twin.named_parameters())
            for rows in batches:
                value = cross_entropy(functional_call(twin, weights, (inputs[rows],)), targets[rows])
                slopes = torch.autograd.grad(value, list(weights.values()))
                total = slopes if total is None or not accumulate else [a + b for a, b in zip(total, slopes, strict=True)]
                pairs = zip(weights.values(), total, strict=True)
                moved = [weight - rate * (slope + decay * weight) for weight, slope in pairs]
                weights = {name: weight.detach().requires_grad_() for name, weight in zip(weights, moved, strict=True)}
                losses.append(value.item())
            return (torch.tensor(losses), weights)
        wanted, weights = trained()
        slips = {'not clearing the gradients between the steps': trained(accumulate=True)[0], 'training in evaluation mode': trained(training=False)[0], 'not updating the parameters': trained(rate=0)[0], 'moving along the gradient; move against it': trained(rate=-0.2)[0]}
        second = copy.deepcopy(model)
        losses = train(model.eval(), inputs, targets, 3, 0.2, 16, generator)
        require(isinstance(losses, list), f'train returned a {type(losses).__name__}; it should return a list')
        require(all((isinstance(loss, float) for loss in losses)), 'the losses are not Python floats; use .item()')
        compare('the number of losses', len(losses), 3)
        compare('the losses of three steps', torch.tensor(losses), wanted, rtol=1e-06, atol=1e-06, slips=slips)
        require(model.training, 'the model is in evaluation mode after training')
        require(model.norm_f.running_mean.abs().sum() > 0, 'the running statistics of the norms were not updated')
        for name, weight in model.named_parameters():
            compare(f'{name} after three steps', weight, weights[name], **FLOAT64)
        require(torch.equal(generator.get_state(), draws.get_state()), 'the generator was used for something else; draw exactly one torch.randint per step')
        for weight in second.parameters():
            weight.grad = torch.ones_like(weight)
        losses = train(second, inputs, targets, 3, 0.2, 16, third)
        what = 'the losses of three steps if `.grad` holds old gradients'
        compare(what, torch.tensor(losses), wanted, rtol=1e-06, atol=1e-06)
        draws.manual_seed(7)
        batches = [torch.randint(200, (16,), generator=draws) for _ in range(3)]
        wanted, _ = trained()
        torch.manual_seed(7)
        losses = train(model, inputs, targets, 3, 0.2, 16)
        what = 'the losses of three steps without a generator: torch.randint then uses the global random state'
        compare(what, torch.tensor(losses), wanted, rtol=1e-06, atol=1e-06)

