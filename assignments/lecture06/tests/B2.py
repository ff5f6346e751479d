from otter.test_files import test_case

OK_FORMAT = False

name = "B2"
points = 4

@test_case(points=None, hidden=False)
def test_deviation_in_place(env):
    import torch
    from src.checks import answer, checking, require
    with checking('B2'):
        kaiming_ = answer(env, 'B2', 'kaiming_')
        state = torch.get_rng_state()
        try:
            for shape, options, target in (((400, 100), {}, 1 / 12), ((64, 900), {'gain': 1.0}, 1 / 8)):
                weight = torch.nn.Parameter(torch.full(shape, 5.0))
                torch.manual_seed(6)
                result = kaiming_(weight, **options)
                require(result is weight, 'return the given tensor itself, filled in place, not a new one')
                require(weight.grad_fn is None and weight.requires_grad, 'autograd recorded the operation; use torch.no_grad()')
                std = weight.detach().std().item()
                require(abs(std / target - 1) < 0.05, f"for shape {shape} and gain {options.get('gain', '5/3')}, the weights have a standard deviation of {std:.4f}; it should be about {target:.4f}")
                mean = weight.detach().mean().item()
                require(abs(mean) < target / 20, f'the mean of the weights is {mean:.4f}; it should be about 0')
        finally:
            torch.set_rng_state(state)

