"""A hand-written MLP as in many blog posts, on made-up digits."""
import numpy as np

rng = np.random.default_rng(0)
y = rng.integers(0, 10, 1500)
X = (rng.random((10, 64))[y] + 0.3 * rng.random((1500, 64))).astype(np.float32)
y_onehot = np.eye(10)[y]

class Layer:
    def __init__(self, n_in, n_out):
        self.W = (np.random.randn(n_in, n_out) * np.sqrt(2 / n_in)).astype("float32")
        self.b = np.zeros((1, n_out), dtype=np.float32)

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, dout, lr):
        dW = self.x.T @ dout
        db = np.sum(dout, axis=0, keepdims=True)
        dx = dout @ self.W.T
        self.W -= lr * dW.astype(np.float32)
        self.b = self.b - lr * db
        return dx

def relu(z):
    return np.maximum(0, z)

def relu_prime(z):
    return (z > 0).astype(float)

def softmax(z):
    exp = np.exp(z - np.max(z, axis=1, keepdims=True))
    return exp / np.sum(exp, axis=1, keepdims=True)

def cross_entropy(p, t):
    p = np.clip(p, 1e-12, 1 - 1e-12)
    return -np.sum(t * np.log(p)) / p.shape[0]

np.random.seed(0)
l1, l2, l3 = Layer(64, 256), Layer(256, 256), Layer(256, 10)
for epoch in range(4):
    idx = np.random.permutation(len(X))
    for start in range(0, len(X), 256):
        batch = idx[start:start + 256]
        xb, tb = X[batch], y_onehot[batch]
        z1 = l1.forward(xb); a1 = relu(z1)
        z2 = l2.forward(a1); a2 = relu(z2)
        z3 = l3.forward(a2); p = softmax(z3)
        loss = cross_entropy(p, tb)
        d = (p - tb) / len(xb)
        d = l3.backward(d, 0.1)
        d = l2.backward(d * relu_prime(z2), 0.1)
        d = l1.backward(d * relu_prime(z1), 0.1)
    acc = np.mean(np.argmax(p, axis=1) == y[batch])
    print(epoch, round(float(loss), 4), round(float(acc), 3))
