"""A transformer's forward pass, after picoGPT."""
import numpy as np
def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
def softmax(x):
    exp_x = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return exp_x / np.sum(exp_x, axis=-1, keepdims=True)
def layer_norm(x, g, b, eps: float = 1e-5):
    mean = np.mean(x, axis=-1, keepdims=True)
    variance = np.var(x, axis=-1, keepdims=True)
    return g * (x - mean) / np.sqrt(variance + eps) + b
def linear(x, w, b):
    return x @ w + b
def ffn(x, c_fc, c_proj):
    return linear(gelu(linear(x, **c_fc)), **c_proj)
def attention(q, k, v, mask):
    return softmax(q @ k.T / np.sqrt(q.shape[-1]) + mask) @ v
def mha(x, c_attn, c_proj, n_head):
    x = linear(x, **c_attn)
    qkv = np.split(x, 3, axis=-1)
    qkv_heads = list(map(lambda x: np.split(x, n_head, axis=-1), qkv))
    causal_mask = (1 - np.tri(x.shape[0], dtype=x.dtype)) * -1e10
    out_heads = [attention(q, k, v, causal_mask) for q, k, v in zip(*qkv_heads)]
    return linear(np.hstack(out_heads), **c_proj)
def transformer_block(x, mlp, attn, ln_1, ln_2, n_head):
    x = x + mha(layer_norm(x, **ln_1), **attn, n_head=n_head)
    x = x + ffn(layer_norm(x, **ln_2), **mlp)
    return x
rng = np.random.default_rng(0)
def p(*s): return (rng.standard_normal(s) * 0.05).astype(np.float32)
def lin(i, o): return {"w": p(i, o), "b": p(o)}
def ln(d): return {"g": np.ones(d, np.float32), "b": np.zeros(d, np.float32)}
D, T = 256, 128
blocks = [dict(mlp=dict(c_fc=lin(D, 4*D), c_proj=lin(4*D, D)), attn=dict(c_attn=lin(D, 3*D), c_proj=lin(D, D)), ln_1=ln(D), ln_2=ln(D)) for _ in range(3)]
wte, wpe = p(500, D), p(T, D)
for step in range(5):
    ids = rng.integers(0, 500, T)
    x = wte[ids] + wpe[range(T)]
    for b in blocks:
        x = transformer_block(x, **b, n_head=4)
    logits = x @ wte.T
    print(step, int(np.argmax(logits[-1])), x.dtype)
