"""Makes a tiny Llama with random weights, a tokenizer and a chat template: `python tiny_llama.py FOLDER`.

It runs where transformers is, not in the environment of the tests.
"""

import sys

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

ROLES = ["<|system|>", "<|user|>", "<|assistant|>", "<|tool|>"]
END = "<|end|>"
TEMPLATE = "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}{% endfor %}<|assistant|>"
WORDS = "The weather was fine, and the engines answered whatever they were asked."


def main(folder: str) -> None:
    bytewise = pre_tokenizers.ByteLevel
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = bytewise(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=[END, *ROLES], initial_alphabet=bytewise.alphabet()
    )
    tokenizer.train_from_iterator([WORDS] * 4, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END, pad_token=END, chat_template=TEMPLATE
    )
    fast.save_pretrained(folder)

    torch.manual_seed(6)  # the same one every time
    config = LlamaConfig(
        vocab_size=len(fast),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=65536,  # an answer may be so long that only hanging up ends it
        bos_token_id=None,
        eos_token_id=fast.eos_token_id,
        pad_token_id=fast.pad_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)


main(sys.argv[1])
