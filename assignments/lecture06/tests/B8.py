from otter.test_files import test_case

OK_FORMAT = False

name = "B8"
points = 4

@test_case(points=None, hidden=False)
def test_same_loss_at_any_batch_size(env):
    import torch
    from src.checks import answer, checking, compare, require
    with checking('B8'):
        evaluate = answer(env, 'B8', 'evaluate')
        draw = torch.Generator().manual_seed(10)
        table = torch.randn(27, 27, generator=draw)
        sizes, unused = ([], [])

        class Stub(torch.nn.Module):
            """Its logits depend on the last character only; in training mode they are wrong."""

            def __init__(self):
                super().__init__()
                self.unused = torch.nn.Parameter(torch.zeros(1))
                unused.append(self.unused)
                self.frozen = torch.nn.Parameter(torch.zeros(1), requires_grad=False)

            def forward(self, x):
                sizes.append(len(x))
                tracked = torch.is_grad_enabled() and self.unused is unused[-1] and self.unused.requires_grad
                require(not tracked, 'autograd records the evaluation; use torch.no_grad()')
                return table.to(x.device)[x[:, -1]] * (3.0 if self.training else 1.0)
        inputs = torch.randint(27, (103, 3), generator=draw)
        targets = torch.randint(27, (103,), generator=draw)

        def losses(factor):
            logs = (factor * table).log_softmax(1)
            return torch.tensor([-logs[i, t] for i, t in zip(inputs[:, -1].tolist(), targets.tolist(), strict=True)])
        each = losses(1)
        model = Stub()
        for batch_size in (103, 1024, 34, 1):
            batches = each.split(batch_size)
            slips = {'averaging the batch means; each example has the same weight': sum((b.mean() for b in batches)) / len(batches), 'using the model in training mode': losses(3).mean(), 'summing the losses; divide by the number of examples': each.sum(), 'dividing the sum of the losses by the number of batches': each.sum() / len(batches), 'leaving out the smaller last batch': torch.cat([b for b in batches if len(b) == batch_size] or [each]).mean()}
            for training in (True, False):
                model.train(training)
                sizes.clear()
                loss = evaluate(model, inputs, targets, batch_size)
                require(isinstance(loss, float), f'the result has type {type(loss).__name__}; it should be a Python float')
                what = f'the loss of 103 examples with batch size {batch_size}'
                compare(what, loss, each.mean(), rtol=1e-05, atol=1e-05, slips=slips)
                require(model.training == training, f'the model had training={training} before and has training={model.training} now; restore what it was')
                require(max(sizes, default=0) <= batch_size, f'the model got {max(sizes, default=0)} examples at once; batch_size is {batch_size}')
                count = -(-103 // batch_size)
                require(len(sizes) <= count, f'the model was called {len(sizes)} times; 103 examples make {count} batches of {batch_size}')
        flags = (model.unused.requires_grad, model.frozen.requires_grad)
        require(flags == (True, False), 'the call changed requires_grad of a parameter; leave it as it is')
        require(model.unused.dtype == torch.float32, 'the call changed the dtype of the model; leave it as it is')
        table.neg_()
        slips = {'keeping the loss of an earlier call': each.mean()}
        compare('the loss after the model has changed', evaluate(model, inputs, targets), losses(1).mean(), slips=slips)

        class Fault(Exception):
            pass

        class Failing(Stub):
            """Something goes wrong in the middle of the examples."""

            def forward(self, x):
                raise Fault
        model, went_on = (Failing(), False)
        try:
            evaluate(model, inputs, targets, 25)
        except Fault:
            went_on = True
        require(went_on, 'an exception raised by the model was swallowed; let it propagate to the caller')
        require(model.training, 'after an exception in the model, its mode is not restored; use try: ... finally: ...')

@test_case(points=None, hidden=False)
def test_the_norm_stays_as_it_is(env):
    import torch
    from src.checks import answer, checking, compare, require

    class Normed(torch.nn.Module):
        """Logits by character, normalised."""

        def __init__(self):
            super().__init__()
            self.table, self.norm = (torch.nn.Embedding(27, 27), torch.nn.BatchNorm1d(27))

        def forward(self, x):
            return self.norm(self.table(x[:, -1]))
    with checking('B8'):
        evaluate = answer(env, 'B8', 'evaluate')
        draw = torch.Generator().manual_seed(20)
        model = Normed()
        with torch.no_grad():
            model.table.weight.copy_(2 * torch.randn(27, 27, generator=draw))
        inputs, targets = (torch.randint(27, (40, 3), generator=draw), torch.randint(27, (40,), generator=draw))
        for _ in range(9):
            model(inputs)
        before = {name: value.clone() for name, value in model.state_dict().items()}
        loss = evaluate(model, inputs, targets, 16)
        for name, value in model.state_dict().items():
            require(torch.equal(value, before[name]), f'the call changed {name} of the model; it should only measure')
        require(model.norm.training, 'the norm inside the model is not in the mode it was in before')
        require(model.norm.momentum == 0.1, 'the call changed the momentum of the norm inside the model; leave it')
        target = torch.nn.functional.cross_entropy(model.eval()(inputs), targets)
        compare('the loss of a model with a norm', loss, target, rtol=1e-05, atol=1e-05)

