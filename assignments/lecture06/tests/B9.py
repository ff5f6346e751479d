from otter.test_files import test_case

OK_FORMAT = False

name = "B9"
points = 4

@test_case(points=None, hidden=False)
def test_folded_layer(env):
    import torch
    import torch.nn.functional as F
    from src.checks import FLOAT64, answer, checking, compare, require
    with checking('B9'):
        fold_batchnorm = answer(env, 'B9', 'fold_batchnorm')
        draw = torch.Generator().manual_seed(11)

        def random(*shape):
            return torch.randn(*shape, dtype=torch.float64, generator=draw)
        for training in (False, True):
            bn = answer(env, 'B4', 'BatchNorm1d')(5, eps=0.3).double().train(training)
            with torch.no_grad():
                for tensor, value in ((bn.gamma, random(5)), (bn.beta, random(5)), (bn.running_mean, random(5)), (bn.running_var, random(5).square() + 0.5)):
                    tensor.copy_(value)
            state = {name: torch.as_tensor(value).clone() for name, value in bn.state_dict().items()}
            gamma, beta, mean, var = (state[n].flatten() for n in ('gamma', 'beta', 'running_mean', 'running_var'))
            weight = random(4, 5)
            for bias in (random(5), None):
                given = (weight.clone(), None if bias is None else bias.clone())
                result = fold_batchnorm(*given, bn)
                require(isinstance(result, tuple | list) and len(result) == 2, 'return two things: the new weight and the new bias')
                require(result[1] is not None, 'the new bias is None; even if the layer had no bias, the folded one needs one')
                require(torch.equal(given[0], weight), 'the given weight was modified; return a new tensor')
                require(bias is None or torch.equal(given[1], bias), 'the given bias was modified; return a new tensor')
                kept = not given[0].requires_grad and all((part.requires_grad for part in bn.parameters()))
                require(kept, 'the call changed requires_grad of the weight or of the layer; leave it as it is')
                for name, value in bn.state_dict().items():
                    require(torch.equal(torch.as_tensor(value), state[name]), f'{name} of the batch norm was modified; leave it unchanged')
                require(bn.training == training, f'the batch norm had training={training} before the call and has training={bn.training} now')

                def layer(x, bias=bias, weight=weight, mean=mean, var=var, gamma=gamma, beta=beta):
                    return F.batch_norm(F.linear(x, weight.T, bias), mean, var, gamma, beta, eps=0.3)
                constant = layer(torch.zeros(1, 4, dtype=torch.float64))[0]
                columns = layer(torch.eye(4, dtype=torch.float64)) - constant
                label = f"{('without' if bias is None else 'with')} a bias, batch norm in {('training' if training else 'evaluation')} mode"
                slips = {'dividing by the variance; divide by its square root': columns * (var + 0.3).rsqrt(), 'leaving out eps': columns * ((var + 0.3) / var).sqrt(), 'leaving out gamma': columns / gamma, 'multiplying by the standard deviation': columns * (var + 0.3)}
                compare(f'the new weight ({label})', result[0], columns, **FLOAT64, slips=slips)
                scaled = constant - beta
                slips = {'leaving out beta': scaled, 'leaving out the running mean': constant + mean * gamma * (var + 0.3).rsqrt(), 'adding the running mean; subtract it': constant + 2 * mean * gamma * (var + 0.3).rsqrt(), 'subtracting beta; add it': scaled - beta}
                if bias is not None:
                    slips['not scaling the old bias'] = constant + bias - bias * gamma * (var + 0.3).rsqrt()
                    slips['leaving out the old bias'] = constant - bias * gamma * (var + 0.3).rsqrt()
                compare(f'the new bias ({label})', result[1], constant, **FLOAT64, slips=slips)

