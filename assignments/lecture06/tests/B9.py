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
        bn = answer(env, 'B4', 'BatchNorm1d')(5, eps=0.1).double().eval()
        with torch.no_grad():
            for tensor, value in ((bn.gamma, random(5)), (bn.beta, random(5)), (bn.running_mean, random(5)), (bn.running_var, random(5).square() + 0.5)):
                tensor.copy_(value)
        state = {name: value.clone() for name, value in bn.state_dict().items()}
        x, weight = (random(9, 4), random(4, 5))
        for bias in (random(5), None):
            given = (weight.clone(), None if bias is None else bias.clone())
            result = fold_batchnorm(*given, bn)
            require(isinstance(result, tuple | list) and len(result) == 2, 'return two things: the new weight and the new bias')
            require(result[1] is not None, 'the new bias is None; even if the layer had no bias, the folded one needs one')
            require(torch.equal(given[0], weight), 'the given weight was modified; return a new tensor')
            require(bias is None or torch.equal(given[1], bias), 'the given bias was modified; return a new tensor')
            for name, value in bn.state_dict().items():
                require(torch.equal(torch.as_tensor(value), state[name]), f'{name} of the batch norm was modified; leave it unchanged')
            require(not bn.training, 'the batch norm was in evaluation mode before the call and is not now; leave its mode unchanged')
            unfolded = F.batch_norm(F.linear(x, weight.T, bias), state['running_mean'].flatten(), state['running_var'].flatten(), state['gamma'].flatten(), state['beta'].flatten(), eps=0.1)
            folded = F.linear(x, result[0].T, result[1].reshape(-1))
            compare(f"the folded layer {('without' if bias is None else 'with')} a bias", folded, unfolded, **FLOAT64)

