from otter.test_files import test_case

OK_FORMAT = False

name = "R8"
points = 6

@test_case(points=None, hidden=False)
def test_logit_lens(env):
    import torch
    from torch.nn.functional import batch_norm, linear
    from src.checks import FLOAT64, answer, checking, compare, require
    with checking('R8'):
        logit_lens = answer(env, 'R8', 'logit_lens')
        ResidualMLP = answer(env, 'R3', 'ResidualMLP')
        torch.manual_seed(0)
        model = ResidualMLP(27, 3, 4, 8, 10, 5).double()
        for _ in range(3):
            model(torch.randint(27, (40, 3)))
        inputs = torch.randint(27, (12, 3))
        start = {name: value.clone() for name, value in model.state_dict().items()}
        yours = logit_lens(model, inputs)
        require(model.training, 'the model was in training mode before the call and is not now')
        for name, value in model.state_dict().items():
            require(torch.equal(value, start[name]), f'the call changed `{name}`; was the model in evaluation mode?')
        require(isinstance(yours, torch.Tensor), f'logit_lens returned a {type(yours).__name__}; it should return a tensor')
        compare('the shape of logit_lens(...)', torch.tensor(yours.shape), torch.tensor([6, 12, 27]))
        f, head = (model.norm_f, model.head)
        streams = []
        for part in (*model.blocks, f):
            part.register_forward_pre_hook(lambda _, got: streams.append(got[0].detach()))
        logits = model.eval()(inputs)
        x = torch.stack(streams)
        writes = torch.diff(x, dim=0, prepend=torch.zeros_like(x[:1]))

        def read(values, training=False):
            kept = (None, None) if training else (f.running_mean, f.running_var)
            return torch.stack([linear(batch_norm(v, *kept, f.weight, f.bias, training, eps=f.eps), head.weight, head.bias) for v in values])
        slips = {'leaving out norm_f': linear(x, head.weight, head.bias), 'applying the head to the writes; apply it to the streams': read(writes), 'normalising each stream with its own batch': read(x, training=True), 'leaving out the bias of the head': read(x) - head.bias, 'the order from the end of the stream to its start': read(x).flip(0)}
        compare('logit_lens(...)', yours, read(x), **FLOAT64, slips=slips)
        compare("logit_lens(...)[-1], the model's logits,", yours[-1], logits, **FLOAT64)

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
        f, head = (model.norm_f, model.head)
        with torch.no_grad():
            f.weight.uniform_(0.5, 1.5)
            f.bias.uniform_(-0.5, 0.5)
        f.eps = 0.01
        for _ in range(3):
            model(torch.randint(27, (40, 3)))
        inputs = torch.randint(27, (12, 3))
        start = {name: value.clone() for name, value in model.state_dict().items()}
        yours = attribution(model, inputs)
        require(model.training, 'the model was in training mode before the call and is not now')
        for name, value in model.state_dict().items():
            require(torch.equal(value, start[name]), f'the call changed `{name}`; was the model in evaluation mode?')
        require(isinstance(yours, torch.Tensor), f'attribution returned a {type(yours).__name__}; it should return a tensor')
        compare('the shape of attribution(...)', torch.tensor(yours.shape), torch.tensor([6, 12, 27]))
        streams = []
        for part in (*model.blocks, f):
            part.register_forward_pre_hook(lambda _, got: streams.append(got[0].detach()))
        logits = model.eval()(inputs)
        x = torch.stack(streams)

        def lens(weight=f.weight, eps=f.eps, values=x):
            read = batch_norm(values.flatten(0, 1), f.running_mean, f.running_var, weight, f.bias, eps=eps)
            return linear(read, head.weight, head.bias).view(6, 12, 27)
        constant = lens(values=torch.zeros_like(x))[0]

        def shares(**changes):
            return torch.diff(lens(**changes), dim=0, prepend=lens(**changes, values=torch.zeros_like(x))[:1])
        slips = {'adding the constant k to every item; it belongs to none': shares() + constant, 'adding the bias of the head to every item': shares() + head.bias, 'adding the constant k to item 0; it belongs to none': torch.diff(lens(), dim=0, prepend=torch.zeros_like(constant[None])), 'hard-coding eps; use that of norm_f': shares(eps=1e-05), 'leaving out gamma': shares(weight=None), 'leaving out norm_f': linear(torch.diff(x, dim=0, prepend=torch.zeros_like(x[:1])), head.weight), 'the lens; return the differences': lens(), 'the lens minus k; return the differences': lens() - constant}
        compare('attribution(...)', yours, shares(), **FLOAT64, slips=slips)
        compare('attribution(...).sum(0), the logits minus k,', yours.sum(0), logits - constant[0], **FLOAT64)

