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
        yours = contributions(model, inputs)
        require(model.training, 'the model was in training mode before the call and is not now')
        for name, value in model.state_dict().items():
            require(torch.equal(value, start[name]), f'the call changed `{name}`; was the model in evaluation mode?')
        require(isinstance(yours, torch.Tensor), f'contributions returned a {type(yours).__name__}; it should return a tensor')
        compare('the shape of contributions(...)', torch.tensor(yours.shape), torch.tensor([6, 12, 8]))
        streams = []
        for part in (*model.blocks, model.norm_f):
            part.register_forward_pre_hook(lambda _, got: streams.append(got[0].detach()))
        model.eval()(inputs)
        compare("contributions(...)[0], the embedding's write,", yours[0], streams[0], **FLOAT64)
        compare('contributions(...).sum(0), the end of the stream,', yours.sum(0), streams[-1], **FLOAT64)

