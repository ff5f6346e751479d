from otter.test_files import test_case

OK_FORMAT = False

name = "R8"
points = 6

@test_case(points=None, hidden=False)
def test_logit_lens(env):
    import torch
    from src.checks import FLOAT64, answer, checking, compare, require
    with checking('R8'):
        logit_lens = answer(env, 'R8', 'logit_lens')
        ResidualMLP = answer(env, 'R3', 'ResidualMLP')
        torch.manual_seed(0)
        model = ResidualMLP(27, 3, 4, 8, 10, 5).double()
        for _ in range(3):
            model(torch.randint(27, (40, 3)))
        inputs = torch.randint(27, (12, 3))
        yours = logit_lens(model, inputs)
        require(model.training, 'the model was in training mode before the call and is not after it')
        require(isinstance(yours, torch.Tensor), f'logit_lens returns a {type(yours).__name__}; stack it to a tensor')
        compare('the shape of logit_lens(...)', torch.tensor(yours.shape), torch.tensor([6, 12, 27]))
        compare("logit_lens(...)[-1] (the model's logits) ", yours[-1], model.eval()(inputs), **FLOAT64)

