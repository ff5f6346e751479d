from otter.test_files import test_case

OK_FORMAT = False

name = "R10"
points = 4

@test_case(points=None, hidden=False)
def test_names_of_a_known_chain(env):
    import torch
    from src.checks import answer, checking, require
    modes = set()

    class Chain(torch.nn.Module):

        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.tables = 2 * torch.randn(3, 27, 27)

        def forward(self, contexts):
            modes.add(self.training)
            tables = self.tables.to(contexts.device)
            return sum((tables[place][contexts[:, place]] for place in range(3)))
    with checking('R10'):
        generate_batch = answer(env, 'R10', 'generate_batch')
        model = Chain()
        before = torch.get_rng_state()
        generator = torch.Generator().manual_seed(3)
        yours = generate_batch(model, 6, generator, max_len=12)
        same = torch.equal(torch.get_rng_state(), before)
        require(same, 'the call changed the global random state; draw with generator=generator')
        require(modes == {False}, 'the model was not in evaluation mode when it was called')
        require(model.training, 'the model was in training mode before the call and is not now')
        require(isinstance(yours, list) and len(yours) == 6, 'generate_batch should return a list of n names')
        draws = torch.Generator().manual_seed(3)
        numbers = torch.stack([torch.rand(6, generator=draws) for _ in range(12)])
        longest = 0
        for row in range(6):
            letters, history = ('', [0, 0, 0])
            for step in range(12):
                longest = max(longest, step + 1)
                shares = model(torch.tensor([history[-3:]])).softmax(1)
                token = min(int(torch.searchsorted(shares.cumsum(1)[0], numbers[step, row], right=True)), 26)
                if token == 0:
                    break
                letters += chr(96 + token)
                history.append(token)
            require(yours[row] == letters, f'row {row} is {yours[row]!r}; the target for its numbers is {letters!r}')
        expected = torch.Generator().manual_seed(3)
        for _ in range(longest):
            torch.rand(6, generator=expected)
        require(torch.equal(generator.get_state(), expected.get_state()), f'the generator was not used exactly {longest} times: draw once per step, and stop when all rows are finished')

@test_case(points=None, hidden=False)
def test_when_rows_finish(env):
    import torch
    from src.checks import answer, checking, require
    size = [3]

    class Countdown(torch.nn.Module):

        def forward(self, contexts):
            logits = torch.full((len(contexts), 27), -10000.0, device=contexts.device)
            for row, context in enumerate(contexts.tolist()):
                require(len(context) == size[0], f'the model got contexts of {len(context)} tokens, not of {size[0]}')
                following = {0: (1, 2), 1: (0,), 2: (1,)}.get(context[-1], (26,))
                following = (26,) if context[-1] == 0 and any(context) else following
                logits[row, list(following)] = 0.0
            return logits
    with checking('R10'):
        generate_batch = answer(env, 'R10', 'generate_batch')
        generator = torch.Generator().manual_seed(8)
        yours = generate_batch(Countdown(), 9, generator)
        first = torch.rand(9, generator=torch.Generator().manual_seed(8))
        wanted = ['a' if number < 0.5 else 'ba' for number in first]
        require(yours == wanted, f"a model that can only say 'a' or 'ba' gives {yours}; the target is {wanted}")
        expected = torch.Generator().manual_seed(8)
        for _ in range(3):
            torch.rand(9, generator=expected)
        require(torch.equal(generator.get_state(), expected.get_state()), 'all rows are finished after 3 steps, but the generator was not used exactly 3 times')
        size[0] = 5
        wider = generate_batch(Countdown(), 9, torch.Generator().manual_seed(8), context_size=5)
        require(wider == wanted, f'with context_size=5 the names are {wider}; the target is {wanted}')
        size[0] = 3
        short = generate_batch(Countdown(), 9, torch.Generator().manual_seed(8), max_len=1)
        require(short == ['a' if number < 0.5 else 'b' for number in first], f'with max_len=1 the names are {short}')

        class Silent(torch.nn.Module):

            def forward(self, contexts):
                logits = torch.full((len(contexts), 27), -10000.0, device=contexts.device)
                logits[:, 0] = 0.0
                return logits
        empty = generate_batch(Silent(), 3, torch.Generator().manual_seed(1))
        require(empty == ['', '', ''], f"a model that ends every name at once gives {empty}; the target is ['', '', '']")
        one = torch.Generator().manual_seed(9)
        pair = [generate_batch(Countdown(), 20, one) for _ in range(2)]
        require(pair[0] != pair[1], 'two calls with one generator gave the same names; do not seed it or copy it')

@test_case(points=None, hidden=False)
def test_rule_at_the_edges(env):
    import torch
    from src.checks import answer, checking, require

    class Sixteen(torch.nn.Module):

        def forward(self, contexts):
            logits = torch.full((len(contexts), 27), -10000.0, device=contexts.device)
            logits[:, 11:] = 0.0
            return logits

    class Rounded(torch.nn.Module):

        def forward(self, contexts):
            draw = torch.Generator().manual_seed(143)
            logits = torch.randn(1, 27, generator=draw)
            logits[0, 26] += 3
            return logits.to(contexts.device).repeat(len(contexts), 1)
    with checking('R10'):
        generate_batch = answer(env, 'R10', 'generate_batch')
        name = generate_batch(Sixteen(), 64, torch.Generator().manual_seed(339), max_len=1)[16]
        require(name == 'y', f'for a number equal to a cumulative probability the token is {name!r}; it should be the first one whose cumulative probability is greater')
        name = generate_batch(Rounded(), 64, torch.Generator().manual_seed(28086), max_len=1)[45]
        require(name == 'z', f'where rounding leaves no cumulative probability above the number, the token is {name!r}, not the last')

