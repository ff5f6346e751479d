from otter.test_files import test_case

OK_FORMAT = False

name = "B10"
points = 4

@test_case(points=None, hidden=False)
def test_known_transitions(env):
    import torch
    from src.checks import answer, checking, require
    with checking('B10'):
        generate = answer(env, 'B10', 'generate')
        unused = []

        class Speller(torch.nn.Module):
            """Knows one word by heart, letter by letter, and answers x to any context that is not in it."""

            def __init__(self, word):
                super().__init__()
                self.unused = torch.nn.Parameter(torch.zeros(1))
                unused.append(self.unused)
                tokens = [0, 0, 0] + [ord(letter) - 96 for letter in word] + [0]
                self.next = {tuple(tokens[i:i + 3]): tokens[i + 3] for i in range(len(tokens) - 3)}
                self.calls = 0

            def forward(self, x):
                self.calls += 1
                require(not self.training, 'the model is in training mode while it generates; call model.eval() first')
                tracked = torch.is_grad_enabled() and self.unused is unused[-1]
                require(not tracked, 'autograd is on while the model generates; use torch.no_grad()')
                require(self.calls <= 200, 'the model was called 200 times: does the loop stop at a dot and at max_len?')
                logits = torch.full((len(x), 27), -10000.0, device=x.device)
                for row, context in enumerate(x.tolist()):
                    logits[row, self.next.get(tuple(context), 24)] = 0.0
                return logits
        draw = torch.Generator().manual_seed(12)
        for word in ('ada', 'emmanuel', ''):
            name = generate(Speller(word), 3, draw)
            require(isinstance(name, str), f'the result has type {type(name).__name__}; it should be a string')
            require('.' not in name, f'the name {name!r} contains the dot; leave it out')
            require(name == word, f'a model that can only say {word!r} said {name!r}: does each new context drop its first token and append the new one?')
        name = generate(Speller('emmanuel'), 3, draw, max_len=4)
        require(name == 'emma', f"with max_len=4 a model that can only say 'emmanuel' said {name!r}; 'emma' was expected")

@test_case(points=None, hidden=False)
def test_chance_and_mode(env):
    import torch
    from src.checks import answer, checking, require
    with checking('B10'):
        generate = answer(env, 'B10', 'generate')

        class Ramp(torch.nn.Module):
            """Later letters are a little likelier, z is the likeliest."""

            def __init__(self):
                super().__init__()
                self.unused = torch.nn.Parameter(torch.zeros(1))
                self.part = torch.nn.Identity()
                self.calls = 0

            def forward(self, x):
                self.calls += 1
                require(self.calls <= 1500, 'a few names took 1500 letters: does the loop stop at a dot and at max_len?')
                return torch.linspace(-1, 1, 27, device=x.device).repeat(len(x), 1)
        model = Ramp()
        state = torch.get_rng_state()
        names = [generate(model, 3, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2, 3)]
        require(torch.equal(torch.get_rng_state(), state), "torch's global random number generator was used; draw with generator=generator")
        require(names[0] == names[1], 'the same generator state gave two different names')
        require(len(set(names)) > 1, 'different generator states gave the same name; sample instead of taking the likeliest letter')
        one = torch.Generator().manual_seed(4)
        require(len({generate(model, 3, one, max_len=9) for _ in range(3)}) > 1, 'calls with one generator repeat the same name; draw from it directly, not from a copy')
        cold = generate(model, 3, torch.Generator().manual_seed(1), temperature=0.001, max_len=6)
        require(cold == 'zzzzzz', f'at temperature 0.001 only the likeliest letter, z, should be drawn, but the result is {cold!r}')
        for training in (True, False):
            model.train(training)
            generate(model, 3, torch.Generator().manual_seed(1))
            require(model.training == training, f'the model had training={training} before and has training={model.training} now; restore what it was')
            require(model.part.training == training, f'a layer of the model had training={training} before and has training={model.part.training} now; model.train(...) restores all of them')

@test_case(points=None, hidden=False)
def test_temperature(env):
    import math
    import torch
    from src.checks import answer, checking, require
    with checking('B10'):
        generate = answer(env, 'B10', 'generate')

        class TwoLetters(torch.nn.Module):
            """Says only a and b; the logit of b is 3 above that of a."""

            def __init__(self):
                super().__init__()
                self.unused = torch.nn.Parameter(torch.zeros(1))

            def forward(self, x):
                logits = torch.full((len(x), 27), -10000.0, device=x.device)
                logits[:, 1], logits[:, 2] = (0.0, 3.0)
                return logits
        draw = torch.Generator().manual_seed(13)
        text = ''.join((generate(TwoLetters(), 3, draw, temperature=2.0, max_len=150) for _ in range(10)))
        share = text.count('b') / 1500
        ways = {'dividing the logits by the square root of the temperature': 3 / math.sqrt(2), 'multiplying the logits by the temperature': 6.0, 'ignoring the temperature': 3.0}
        for way, logit in ways.items():
            wrong = 1 / (1 + math.exp(-logit))
            require(abs(share - wrong) > 0.03, f'at temperature 2 the shares of the letters are those of {way}')
        target = 1 / (1 + math.exp(-1.5))
        require(abs(share - target) < 0.05, f'at temperature 2 a letter of probability {target:.2f} makes up {share:.2f} of 1500 letters')

        class AllLetters(TwoLetters):
            """Says every letter with the same probability."""

            def forward(self, x):
                logits = torch.zeros((len(x), 27), device=x.device)
                logits[:, 0] = -10000.0
                return logits
        letters = set(''.join((generate(AllLetters(), 3, draw, max_len=150) for _ in range(10))))
        require(len(letters) == 26, f'of 26 equally likely letters only {len(letters)} occur in 1500; draw from all of them')

        class HalfDots(TwoLetters):
            """Says a letter or the dot, each with probability 1/2."""

            def forward(self, x):
                logits = torch.full((len(x), 27), -10000.0, device=x.device)
                logits[:, :2] = 0.0
                return logits
        count = sum((len(generate(HalfDots(), 3, draw)) for _ in range(300)))
        require(200 < count < 400, f'300 names have {count} letters, from a model that gives a dot with probability 1/2; about 300 were expected: does a name end at its first dot, and can it be empty?')

