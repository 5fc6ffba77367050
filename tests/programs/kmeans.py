import numpy as np
rng = np.random.default_rng(3)
centers = rng.normal(size=(8, 16)) * 5
X = np.concatenate([c + rng.normal(size=(2000, 16)) for c in centers]).astype(np.float32)
def kmeans(X, k, iters=20):
    centroids = X[rng.choice(len(X), k, replace=False)]
    for _ in range(iters):
        d = np.linalg.norm(X[:, np.newaxis] - centroids, axis=2)
        labels = np.argmin(d, axis=1)
        centroids = np.array([X[labels == j].mean(axis=0) for j in range(k)])
    return centroids, labels
c, labels = kmeans(X, 8)
counts = np.zeros(8)
np.add.at(counts, labels, 1)
sums = np.zeros((8, 16), np.float32)
np.add.at(sums, labels, X)
print(sorted(counts.astype(int)), round(float(sums.sum()), 0))
