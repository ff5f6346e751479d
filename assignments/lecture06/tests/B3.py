from otter.test_files import test_case

OK_FORMAT = False

name = "B3"
points = 6

@test_case(points=None, hidden=False)
def test_forward_values(env):
    import torch
    from src.checks import FLOAT64, answer, checking, compare, no_built_in_batch_norm, require
    with checking('B3'):
        batchnorm_forward = answer(env, 'B3', 'batchnorm_forward')
        draw = torch.Generator().manual_seed(3)
        for n, eps in ((32, 0.1), (8, 1e-07)):
            x = 3 * torch.randn(n, 5, dtype=torch.float64, generator=draw) + 2
            gamma, beta = torch.randn(2, 5, dtype=torch.float64, generator=draw)
            before = x.clone()
            with no_built_in_batch_norm():
                result = batchnorm_forward(x, gamma, beta, eps)
            require(isinstance(result, tuple | list) and len(result) == 3, 'return three things: the normalised batch, the mean and the variance')
            y, mean, var = result
            require(torch.equal(x, before), 'x was modified in place; leave the input unchanged')
            judge = torch.nn.BatchNorm1d(5, eps=eps, momentum=1.0, dtype=torch.float64)
            judge.load_state_dict({'weight': gamma, 'bias': beta}, strict=False)
            target = judge(x)
            average, unbiased = (judge.running_mean, judge.running_var)
            biased = unbiased * (n - 1) / n

            def scaled(divisor, x=x, average=average, gamma=gamma, beta=beta):
                return torch.addcmul(beta, x - average, gamma / divisor)
            slips = {'averaging over all entries; each feature has its own mean': x.mean().expand(5)}
            compare('mean', mean, average, **FLOAT64, slips=slips)
            slips = {'dividing by N - 1; divide by N': unbiased, 'returning the standard deviation; return the variance': biased.sqrt(), 'returning var + eps; return the variance itself': biased + eps}
            compare('var', var, biased, **FLOAT64, slips=slips)
            root = biased.sqrt()
            slips = {'adding eps to the standard deviation; eps belongs inside the square root': scaled(root + eps), 'normalising with the variance over N - 1': scaled((unbiased + eps).sqrt()), 'leaving out eps': scaled(root), 'squaring eps': scaled((biased + eps ** 2).sqrt()), 'dividing by the variance; divide by its square root': scaled(biased + eps), 'not applying gamma and beta': (target - beta) / gamma, 'swapping gamma and beta': torch.addcmul(gamma, (target - beta) / gamma, beta), 'adding beta before multiplying by gamma': target - beta + beta * gamma, 'not subtracting the mean': scaled(-(biased + eps).sqrt(), x=-x, average=torch.zeros(5)), 'clamping or hard-coding eps': scaled((biased + 1e-05).sqrt())}
            compare(f'y (with eps = {eps})', y, target, **FLOAT64, slips=slips)
        constant = torch.full((4, 5), 2.5, dtype=torch.float64)
        y = batchnorm_forward(constant, gamma, beta)[0]
        compare('y of a batch without variance', y, beta.expand(4, 5), **FLOAT64)

@test_case(points=None, hidden=False)
def test_gradient_reaches_x(env):
    import torch
    from src.checks import answer, checking, compare_gradients, no_built_in_batch_norm, require
    with checking('B3'):
        batchnorm_forward = answer(env, 'B3', 'batchnorm_forward')
        draw = torch.Generator().manual_seed(4)
        x, cotangent = torch.randn(2, 8, 5, dtype=torch.float64, generator=draw)
        gamma, beta = torch.randn(2, 5, dtype=torch.float64, generator=draw)
        given = [tensor.requires_grad_() for tensor in (x, gamma, beta)]
        with no_built_in_batch_norm():
            y = batchnorm_forward(*given)[0]
        judge = torch.nn.BatchNorm1d(5, dtype=torch.float64)
        judge.weight.data, judge.bias.data = (gamma.detach(), beta.detach())
        centred = (x - x.mean(0)).detach()
        share = cotangent * gamma.detach() * (centred.square().mean(0) + 1e-05).rsqrt()
        slips = {'x': {'treating the mean and the variance as constants; gradients must flow through them': share, 'treating the variance as a constant; gradients must flow through it': share - share.mean(0)}}
        places = {'x': (x, x), 'gamma': (gamma, judge.weight), 'beta': (beta, judge.bias)}
        compare_gradients(y, judge(x), places, cotangent, slips)
        for place, name, its in ((1, 'mean', x.mean(0)), (2, 'var', x.var(0, correction=0))):
            mine = batchnorm_forward(*given)[place]
            require(getattr(mine, 'requires_grad', False), f'the returned {name} is cut off from the autograd graph; do not detach it')
            compare_gradients(mine, its, {f'x through the returned {name}': (x, x)}, cotangent[0])

