from otter.test_files import test_case

OK_FORMAT = False

name = "R7"
points = 6

@test_case(points=None, hidden=False)
def test_contributions_add_up(env):
    import torch
    from src.checks import FLOAT64, answer, checking, compare, require
    with checking('R7'):
        contributions = answer(env, 'R7', 'contributions')
        ResidualMLP = answer(env, 'R3', 'ResidualMLP')
        torch.manual_seed(0)
        model = ResidualMLP(27, 3, 4, 8, 10, 5).double()
        for _ in range(3):
            model(torch.randint(27, (40, 3)))
        inputs = torch.randint(27, (12, 3))
        start = {name: value.clone() for name, value in model.state_dict().items()}
        for training in (False, True):
            yours = contributions(model.train(training), inputs)
            mode = 'training' if training else 'evaluation'
            require(model.training == training, f'the model was in {mode} mode before the call and is not now')
        for name, value in model.state_dict().items():
            require(torch.equal(value, start[name]), f'the call changed `{name}`; was the model in evaluation mode?')
        hooks = [part for part in model.modules() if part._forward_hooks or part._forward_pre_hooks]
        require(not hooks, 'the call left hooks on the model; remove them')
        require(isinstance(yours, torch.Tensor), f'contributions returned a {type(yours).__name__}; it should return a tensor')
        compare('the shape of contributions(...)', torch.tensor(yours.shape), torch.tensor([6, 12, 8]))
        alone = torch.tensor(contributions(model, inputs[:1]).shape)
        compare('the shape of contributions(...) for one context', alone, torch.tensor([6, 1, 8]))
        streams = []
        for part in (*model.blocks, model.norm_f):
            part.register_forward_pre_hook(lambda _, got: streams.append(got[0].detach()))
        model.eval()(inputs)
        x = torch.stack(streams)
        streams.clear()
        model.train()(inputs)
        writes = torch.diff(x, dim=0, prepend=torch.zeros_like(x[:1]))
        slips = {'the streams; return their differences': x, 'measuring in training mode': torch.diff(torch.stack(streams), dim=0, prepend=torch.zeros_like(x[:1])), 'the blocks in reverse order': torch.cat([writes[:1], writes[1:].flip(0)]), 'the wrong sign for the blocks': torch.cat([writes[:1], -writes[1:]])}
        compare('contributions(...)', yours, writes, **FLOAT64, slips=slips)

