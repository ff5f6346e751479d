from otter.test_files import test_case

OK_FORMAT = False

name = "B6"
points = 5

@test_case(points=None, hidden=False)
def test_logits_of_mlpv2(env):
    import torch
    import torch.nn.functional as F
    from src.checks import answer, checking, compare, require
    with checking('B6'):
        draw = torch.Generator().manual_seed(8)
        model = answer(env, 'B6', 'MLPv2')(27, 3, 4, 6)
        weights = {name: parameter.detach() for name, parameter in model.named_parameters()}
        for value in weights.values():
            value.copy_(torch.randn(value.shape, generator=draw))
        x = torch.randint(27, (40, 3), generator=draw)
        embedded = F.embedding(x, weights['C']).flatten(1)
        pre = F.linear(embedded, weights['W1'].T, weights['b1'])

        def head(hidden):
            return F.linear(hidden, weights['W2'].T, weights['b2'])
        gamma, beta = (weights['bn.gamma'].flatten(), weights['bn.beta'].flatten())

        def normalised(values):
            return F.batch_norm(values, None, None, gamma, beta, training=True)
        logits = model(x)
        require(isinstance(logits, torch.Tensor), 'forward did not return a tensor; did you write `return`?')
        tracked = int(model.bn.num_batches_tracked)
        require(tracked <= 1, f'one call of forward uses self.bn {tracked} times; use it once')
        require(model.training and model.bn.training, 'a call of forward changed the mode of the model or of self.bn')
        slips = {'not using self.bn': head(pre.tanh()), 'normalising after the tanh; normalise the pre-activation': head(normalised(pre.tanh())), 'leaving out the tanh': head(normalised(pre)), 'leaving out b2': head(normalised(pre).tanh()) - weights['b2'], 'adding b1 after the normalization': head((normalised(pre - weights['b1']) + weights['b1']).tanh())}
        compare('the logits in training mode', logits, head(normalised(pre).tanh()), slips=slips)
        model.eval()
        mean, var = (model.bn.running_mean.flatten(), model.bn.running_var.flatten())
        in_evaluation = F.batch_norm(pre, mean, var, gamma, beta, training=False)
        slips = {'using the statistics of the batch': head(normalised(pre).tanh())}
        target = head(in_evaluation.tanh())
        compare('the logits in evaluation mode', model(x), target, slips=slips)
        compare('the logits of one example in evaluation mode', model(x[:1]), target[:1])
        modes = {part.training for part in model.modules()}
        require(modes == {False}, 'a call of forward in evaluation mode put the model or self.bn into training mode')

@test_case(points=None, hidden=False)
def test_every_parameter_of_mlpv2_learns(env):
    import torch
    from src.checks import answer, checking, require
    with checking('B6'):
        draw = torch.Generator().manual_seed(18)
        model = answer(env, 'B6', 'MLPv2')(27, 3, 4, 6)
        x, targets = torch.randint(27, (2, 40, 3), generator=draw)
        torch.nn.functional.cross_entropy(model(x), targets[:, 0]).backward()
        for name, parameter in model.named_parameters():
            require(parameter.grad is not None, f'no gradient reaches {name}; is something detached, or not used?')

