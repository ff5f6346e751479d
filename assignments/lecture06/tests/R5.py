from otter.test_files import test_case

OK_FORMAT = False

name = "R5"
points = 5

@test_case(points=None, hidden=False)
def test_stream_variance(env):
    import torch
    from src.checks import answer, checking, compare, require
    with checking('R5'):
        stream_variance = answer(env, 'R5', 'stream_variance')
        ResidualMLP = answer(env, 'R3', 'ResidualMLP')
        torch.manual_seed(0)
        model = ResidualMLP(27, 3, 4, 8, 10, 5).double()
        inputs = torch.randint(27, (12, 3))
        model(torch.randint(27, (40, 3)))
        model.eval()
        start = {name: value.clone() for name, value in model.state_dict().items()}
        yours = stream_variance(model, inputs)
        require(not model.training, 'the model was in evaluation mode before the call and is not now')
        for name, value in model.state_dict().items():
            require(torch.equal(value, start[name]), f'the call changed `{name}`; it should only measure')
        norms = [part for part in model.modules() if isinstance(part, torch.nn.BatchNorm1d)]
        require(all((part.momentum == 0.1 for part in norms)), 'the call changed the momentum of a norm; measure on a copy')
        require(isinstance(yours, torch.Tensor), f'stream_variance returned a {type(yours).__name__}; it should return a tensor')
        streams = []
        for part in (*model.blocks, model.norm_f):
            part.register_forward_pre_hook(lambda _, got: streams.append(got[0].detach()))
        model(inputs)
        in_evaluation = torch.stack(streams)
        streams.clear()
        model.train()(inputs)
        x = torch.stack(streams)
        target = (x.square().mean(1) - x.mean(1).square()).mean(1)

        def spread(dims, streams=x):
            return (streams - streams.mean(dims, keepdim=True)).square().mean((1, 2))
        slips = {'measuring in evaluation mode': spread(1, in_evaluation), 'dividing by N - 1; divide by N': target * 12 / 11, 'one variance over all entries; take it per feature over the batch': spread((1, 2)), 'the variance over the features; take it over the batch': spread(2), 'the mean square; subtract the mean': x.square().mean((1, 2)), 'the square root; return the variance': target.sqrt(), 'summing over the features; average': 8 * target, 'measuring what each block writes; measure the stream': spread(1, torch.diff(x, dim=0, prepend=0 * x[:1]))}
        compare('stream_variance(model, inputs)', yours, target, rtol=1e-06, atol=1e-06, slips=slips)

@test_case(points=None, hidden=False)
def test_scaled_start(env):
    import torch
    from src.checks import FLOAT64, answer, checking, compare, require
    with checking('R5'):
        scale_residual_init_ = answer(env, 'R5', 'scale_residual_init_')
        ResidualMLP = answer(env, 'R3', 'ResidualMLP')
        torch.manual_seed(0)
        model = ResidualMLP(27, 3, 4, 8, 10, 8).double()
        start = {name: weight.detach().clone() for name, weight in model.named_parameters()}
        require(scale_residual_init_(model) is model, 'scale_residual_init_ should return the model it was given')
        for name, weight in model.named_parameters():
            if name.endswith('fc2.weight'):
                slips = {'not scaling it': start[name], 'the factor 1/sqrt(L); it is 1/sqrt(2 L)': start[name] * 8 ** (-0.5), 'the factor 1/(2 L); take the square root': start[name] / 16, 'scaling twice in one call': start[name] / 16}
                compare(f'{name}, 8 blocks', weight, start[name] / 4, **FLOAT64, slips=slips)
            else:
                require(torch.equal(weight, start[name]), f'{name} changed; scale only fc2.weight of each block')
            require(weight.requires_grad, f'{name} no longer requires gradients')
        scale_residual_init_(model)
        again = model.blocks[0].fc2.weight
        compare('blocks.0.fc2.weight after a second call', again, start['blocks.0.fc2.weight'] / 16, **FLOAT64)

