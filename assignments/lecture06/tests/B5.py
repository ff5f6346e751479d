from otter.test_files import test_case

OK_FORMAT = False

name = "B5"
points = 6

@test_case(points=None, hidden=False)
def test_against_autograd(env):
    import torch
    from src.checks import FLOAT64, answer, checking, compare, require
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
        result = batchnorm_backward(*given, eps)
        require(isinstance(result, tuple | list) and len(result) == 3, 'return three things: dx, dgamma and dbeta')
        rows = []
        for name, mine, target in zip(('dx', 'dgamma', 'dbeta'), result, targets, strict=True):
            close = isinstance(mine, torch.Tensor) and mine.shape[-1:] == target.shape[-1:] and (mine.numel() == target.numel())
            if not close:
                continue
            gap = (mine.detach().reshape(target.shape) - target).abs().max().item()
            rows.append((name, bool(torch.equal(mine.detach().reshape(target.shape), target)), gap < 1e-09, gap))
        if not all((approximate for _, _, approximate, _ in rows)):
            print(f"B5: yours compared with autograd\n{'gradient':<10}{'exact':<8}{'approximate':<13}largest difference")
            for name, exact, approximate, gap in rows:
                print(f'{name:<10}{exact!s:<8}{approximate!s:<13}{gap:.1e}')
        for name, mine, target in zip(('dbeta', 'dgamma', 'dx'), reversed(result), reversed(targets), strict=True):
            compare(name, mine, target, **FLOAT64)
        for name, now, then in zip(('dout', 'x_hat', 'gamma', 'var'), given, before, strict=True):
            require(torch.equal(now, then), f'{name} was modified in place; leave the inputs unchanged')

