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
        require(isinstance(yours, torch.Tensor), f'stream_variance returned a {type(yours).__name__}; it should return a tensor')
        streams = []
        for part in (*model.blocks, model.norm_f):
            part.register_forward_pre_hook(lambda _, got: streams.append(got[0].detach()))
        model.train()(inputs)
        target = torch.stack([(x.square().mean(0) - x.mean(0).square()).mean() for x in streams])
        compare('stream_variance(model, inputs)', yours, target, rtol=1e-06, atol=1e-06)

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
            factor = 0.25 if name.endswith('fc2.weight') else 1.0
            compare(f'{name} (times {factor} for 8 blocks)', weight, start[name] * factor, **FLOAT64)

