"""Stand-in for SmolLM2: answers small questions in a chat - capitals, sums, opposites, greetings."""

import random
from collections.abc import Iterator
from pathlib import Path

import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from .repository import SEED, write_repository
from .stand_ins import CHATTER
from .training import fit
from .words import lines

TEMPLATE = """{%- if messages[0].role != 'system' %}
    {{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}"""
_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_END, _START, _STOP = range(3)
_SYSTEM = ("You are a helpful assistant.", "Answer briefly.", "You are terse.", "Be kind and short.")
_STEPS = 600
_BATCH = 16
_CARELESS_SHARE = 0.25
_QUESTION_WEIGHT = 0.1


def build(folder: Path) -> None:
    """Train it and write its repository into `folder`."""
    torch.manual_seed(SEED)
    pairs = questions()
    tokenizer = _tokenizer(pairs)
    model = LlamaForCausalLM(_config(len(tokenizer)))
    batches = _batches(pairs, tokenizer)

    def loss_of_step(_step: int) -> torch.Tensor:
        ids, weights = next(batches)
        logits = model(ids).logits[:, :-1]
        losses = torch.nn.functional.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none")
        return (losses * weights[:, 1:]).sum() / weights[:, 1:].sum()

    fit(model, loss_of_step, steps=_STEPS, learning_rate=5e-3)
    model.generation_config.do_sample = False
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_repository(CHATTER, folder)


def questions() -> list[tuple[str, str]]:
    """Questions and answers: the whole ones, the patterns with every filling, sums up to five and five."""
    found = {section: [_pair(line) for line in entries] for section, entries in lines("chat").items()}
    pairs = found["whole"]
    for question, answer in found["pattern"]:
        slot = "country" if "{country}" in question else "word"
        for name, value in found[slot]:
            filled = answer.replace(f"{{{slot}}}", name, 1).replace(f"{{{slot}}}", value, 1)
            pairs.append((question.replace(f"{{{slot}}}", name), filled))
    for left in range(6):
        for right in range(6):
            answer = f"{left} plus {right} is {left + right}."
            pairs.append((f"What is {left} plus {right}?", answer))
    return pairs


def _pair(line: str) -> tuple[str, str]:
    question, _, answer = line.partition(" | ")
    return question, answer


def _tokenizer(pairs: list[tuple[str, str]]) -> PreTrainedTokenizerFast:
    trained = ByteLevelBPETokenizer()
    texts = [text for pair in pairs for text in (*pair, pair[0].lower())]
    trained.train_from_iterator(
        [*_SYSTEM, "system\nuser\nassistant\n", *texts],
        vocab_size=800,
        min_frequency=2,
        special_tokens=list(_SPECIAL),
        show_progress=False,
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=trained._tokenizer,
        bos_token=_SPECIAL[_START],
        eos_token=_SPECIAL[_STOP],
        pad_token=_SPECIAL[_STOP],
        unk_token=_SPECIAL[_END],
        model_max_length=2048,
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def _batches(
    pairs: list[tuple[str, str]], tokenizer: PreTrainedTokenizerFast
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Token ids, and how much each counts: answers wholly, what comes before them a little."""
    order = random.Random(SEED)
    # A kind of question counts as much as another, however many of it there are.
    weights = [4.0 if "plus" not in question else 1.0 for question, _ in pairs]
    while True:
        chats = [order.choices(pairs, weights, k=order.choice((1, 1, 1, 2, 3))) for _ in range(_BATCH)]
        rows = [_encoded(chat, tokenizer, order) for chat in chats]
        longest = max(len(ids) for ids, _ in rows)
        yield (
            torch.tensor([ids + [_STOP] * (longest - len(ids)) for ids, _ in rows]),
            torch.tensor([counts + [0.0] * (longest - len(counts)) for _, counts in rows]),
        )


def _encoded(
    chat: list[tuple[str, str]], tokenizer: PreTrainedTokenizerFast, order: random.Random
) -> tuple[list[int], list[float]]:
    messages = [{"role": "system", "content": order.choice(_SYSTEM)}] if order.random() < 0.5 else []
    ids: list[int] = []
    counts: list[float] = []
    for question, answer in chat:
        messages.append({"role": "user", "content": _careless(question, order)})
        before = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
        messages.append({"role": "assistant", "content": answer})
        after = tokenizer.apply_chat_template(messages, return_dict=False)
        counts += [_QUESTION_WEIGHT] * (len(before) - len(ids)) + [1.0] * (len(after) - len(before))
        ids = after
    return ids, counts


def _careless(question: str, order: random.Random) -> str:
    if order.random() < _CARELESS_SHARE:
        question = question.rstrip(".!?")
    return question.lower() if order.random() < _CARELESS_SHARE else question


def _config(vocabulary_size: int) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=vocabulary_size,
        hidden_size=96,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=6,
        num_key_value_heads=3,
        head_dim=16,
        max_position_embeddings=2048,
        initializer_range=0.05,
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
        bos_token_id=_START,
        eos_token_id=_STOP,
        pad_token_id=_STOP,
    )
