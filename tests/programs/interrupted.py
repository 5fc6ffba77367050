import sys

import numpy as np

x = np.ones((300, 300), np.float32)
y = x * np.sqrt(2)
if sys.argv[1] == "interrupt":
    raise KeyboardInterrupt
y.reshape(7, 7)
