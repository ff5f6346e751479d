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
        require(model.training, 'the model was in training mode before the call and is not now')
        require(isinstance(yours, torch.Tensor), f'logit_lens returned a {type(yours).__name__}; it should return a tensor')
        compare('the shape of logit_lens(...)', torch.tensor(yours.shape), torch.tensor([6, 12, 27]))
        compare("logit_lens(...)[-1], the model's logits,", yours[-1], model.eval()(inputs), **FLOAT64)

@test_case(points=None, hidden=False)
def test_attribution_adds_up(env):
    import torch
    from torch.nn.functional import batch_norm, linear
    from src.checks import FLOAT64, answer, checking, compare, require
    with checking('R8'):
        attribution = answer(env, 'R8', 'attribution')
        ResidualMLP = answer(env, 'R3', 'ResidualMLP')
        torch.manual_seed(0)
        model = ResidualMLP(27, 3, 4, 8, 10, 5).double()
        with torch.no_grad():
            model.norm_f.weight.uniform_(0.5, 1.5)
            model.norm_f.bias.uniform_(-0.5, 0.5)
        for _ in range(3):
            model(torch.randint(27, (40, 3)))
        inputs = torch.randint(27, (12, 3))
        yours = attribution(model, inputs)
        require(model.training, 'the model was in training mode before the call and is not now')
        require(isinstance(yours, torch.Tensor), f'attribution returned a {type(yours).__name__}; it should return a tensor')
        compare('the shape of attribution(...)', torch.tensor(yours.shape), torch.tensor([6, 12, 27]))
        f, head = (model.norm_f, model.head)
        nothing = torch.zeros(1, 8, dtype=torch.float64)
        still = batch_norm(nothing, f.running_mean, f.running_var, f.weight, f.bias, eps=f.eps)
        target = model.eval()(inputs) - linear(still, head.weight, head.bias)
        compare('attribution(...).sum(0), the logits minus k,', yours.sum(0), target, **FLOAT64)

