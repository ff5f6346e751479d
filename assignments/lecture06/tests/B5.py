from otter.test_files import test_case

OK_FORMAT = False

name = "B5"
points = 6

@test_case(points=None, hidden=False)
def test_against_autograd(env):
    import torch
    from src.checks import FLOAT64, answer, checking, compare, no_autograd, no_built_in_batch_norm, require
    with checking('B5'):
        batchnorm_backward = answer(env, 'B5', 'batchnorm_backward')
        draw = torch.Generator().manual_seed(6)
        eps = 0.01
        x, dout = torch.randn(2, 7, 5, dtype=torch.float64, generator=draw)
        gamma = torch.randn(5, dtype=torch.float64, generator=draw).requires_grad_()
        beta = torch.zeros(5, dtype=torch.float64, requires_grad=True)
        x = (3 * x + 1).requires_grad_()
        y = torch.nn.functional.batch_norm(x, None, None, gamma, beta, training=True, eps=eps)
        targets = torch.autograd.grad((y * dout).sum(), (x, gamma, beta))
        x_hat = ((y - beta) / gamma).detach()
        var = x.detach().sub(x.detach().mean(0)).square().mean(0)
        given = [dout, x_hat, gamma.detach(), var]
        before = [tensor.clone() for tensor in given]
        with no_built_in_batch_norm(), no_autograd():
            result = batchnorm_backward(*given, eps)
        require(isinstance(result, tuple | list) and len(result) == 3, 'return three things: dx, dgamma and dbeta')
        direct = torch.addcdiv(torch.zeros_like(dout), dout * gamma.detach(), (var + eps).sqrt())
        along = x_hat * (direct * x_hat).sum(0) / 7
        slips = {'dbeta': {'averaging over the batch; sum': targets[2] / 7}, 'dgamma': {'leaving out x_hat': targets[2], 'averaging over the batch; sum': targets[1] / 7}, 'dx': {'the direct path only; two more paths are missing': direct, 'leaving out the path through the variance': direct - direct.mean(0), 'leaving out the path through the mean': direct - along, 'leaving out gamma': targets[0] / gamma.detach(), 'leaving out eps': targets[0] * ((var + eps) / var).sqrt(), 'adding eps outside the square root': targets[0] * (var + eps).sqrt() / (var.sqrt() + eps), 'dividing by the variance instead of its square root': targets[0] / (var + eps).sqrt(), 'multiplying by the standard deviation; divide': targets[0] * (var + eps), 'summing over the batch where the mean belongs': direct - 7 * (direct.mean(0) + along), 'adding the paths through the mean and the variance; subtract them': direct + direct.mean(0) + along}}
        for name, mine, target in zip(('dbeta', 'dgamma', 'dx'), reversed(result), reversed(targets), strict=True):
            compare(name, mine, target, **FLOAT64, slips=slips[name])
        for name, now, then in zip(('dout', 'x_hat', 'gamma', 'var'), given, before, strict=True):
            require(torch.equal(now, then), f'{name} was modified in place; leave the inputs unchanged')

