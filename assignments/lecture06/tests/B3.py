from otter.test_files import test_case

OK_FORMAT = False

name = "B3"
points = 6

@test_case(points=None, hidden=False)
def test_forward_values(env):
    import torch
    from src.checks import FLOAT64, answer, checking, compare, require
    with checking('B3'):
        batchnorm_forward = answer(env, 'B3', 'batchnorm_forward')
        draw = torch.Generator().manual_seed(3)
        for n, eps in ((32, 0.1), (8, 1e-05)):
            x = 3 * torch.randn(n, 5, dtype=torch.float64, generator=draw) + 2
            gamma, beta = torch.randn(2, 5, dtype=torch.float64, generator=draw)
            before = x.clone()
            result = batchnorm_forward(x, gamma, beta, eps)
            require(isinstance(result, tuple | list) and len(result) == 3, 'return three things: the normalised batch, the mean and the variance')
            y, mean, var = result
            require(torch.equal(x, before), 'x was modified in place; leave the input unchanged')
            judge = torch.nn.BatchNorm1d(5, eps=eps, momentum=1.0, dtype=torch.float64)
            judge.load_state_dict({'weight': gamma, 'bias': beta}, strict=False)
            target = judge(x)
            compare('mean', mean, judge.running_mean, **FLOAT64)
            unbiased = judge.running_var
            require(not (isinstance(var, torch.Tensor) and torch.allclose(var.detach(), unbiased)), 'var was divided by N - 1; the formula divides by N')
            compare('var', var, unbiased * (n - 1) / n, **FLOAT64)
            compare(f'y (at eps = {eps})', y, target, **FLOAT64)

@test_case(points=None, hidden=False)
def test_gradient_reaches_x(env):
    import torch
    from src.checks import FLOAT64, answer, checking, compare, require
    with checking('B3'):
        batchnorm_forward = answer(env, 'B3', 'batchnorm_forward')
        draw = torch.Generator().manual_seed(4)
        x, cotangent = torch.randn(2, 8, 5, dtype=torch.float64, generator=draw)
        x.requires_grad_()
        gamma, beta = (torch.ones(5, dtype=torch.float64), torch.zeros(5, dtype=torch.float64))
        y = batchnorm_forward(x, gamma, beta)[0]
        require(y.requires_grad, 'no gradient flows from y back to x')
        mine, = torch.autograd.grad((y * cotangent).sum(), x)
        judge = torch.nn.BatchNorm1d(5, dtype=torch.float64)
        target, = torch.autograd.grad((judge(x) * cotangent).sum(), x)
        compare('the gradient with respect to x', mine, target, **FLOAT64)

