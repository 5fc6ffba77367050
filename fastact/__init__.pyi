# Written by tools/stubs.py from the records: do not edit.
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastact.custom import elementwise as elementwise
from fastact.runtime.threads import get_num_threads as get_num_threads
from fastact.runtime.threads import set_num_threads as set_num_threads
from fastact.runtime.threads import threads as threads
from fastact.runtime.exceptions import CompilationError as CompilationError
from fastact.functions.elementwise import Op
from fastact.warm import show_config as show_config
from fastact.warm import warmup as warmup

from fastact.functions.gated_units import glu as glu
from fastact.functions.gated_units import glu_backward as glu_backward
from fastact.functions.softmax import softmax as softmax
from fastact.functions.softmax import softmin as softmin
from fastact.functions.softmax import log_softmax as log_softmax
from fastact.functions.softmax import logsumexp as logsumexp
from fastact.functions.softmax import softmax_backward as softmax_backward
from fastact.functions.softmax import log_softmax_backward as log_softmax_backward
from fastact.functions.cross_entropy import cross_entropy as cross_entropy
from fastact.functions.cross_entropy import cross_entropy_with_grad as cross_entropy_with_grad
from fastact.functions.linear import linear_cross_entropy as linear_cross_entropy
from fastact.functions.linear import linear_cross_entropy_with_grad as linear_cross_entropy_with_grad
from fastact.functions.maxout import maxout as maxout
from fastact.functions.maxout import maxout_with_index as maxout_with_index
from fastact.functions.maxout import maxout_backward as maxout_backward
from fastact.functions.binary_losses import binary_cross_entropy_with_logits as binary_cross_entropy_with_logits
from fastact.functions.binary_losses import binary_cross_entropy_with_logits_with_grad as binary_cross_entropy_with_logits_with_grad
from fastact.functions.binary_losses import binary_cross_entropy as binary_cross_entropy
from fastact.functions.binary_losses import binary_cross_entropy_with_grad as binary_cross_entropy_with_grad
from fastact.functions.binary_losses import logistic_loss as logistic_loss
from fastact.functions.binary_losses import logistic_loss_with_grad as logistic_loss_with_grad
from fastact.functions.binary_losses import hinge_loss as hinge_loss
from fastact.functions.binary_losses import hinge_loss_with_grad as hinge_loss_with_grad
from fastact.functions.binary_losses import squared_hinge_loss as squared_hinge_loss
from fastact.functions.binary_losses import squared_hinge_loss_with_grad as squared_hinge_loss_with_grad
from fastact.functions.binary_losses import sigmoid_focal_loss as sigmoid_focal_loss
from fastact.functions.binary_losses import sigmoid_focal_loss_with_grad as sigmoid_focal_loss_with_grad
from fastact.functions.regression_losses import mse_loss as mse_loss
from fastact.functions.regression_losses import mse_loss_with_grad as mse_loss_with_grad
from fastact.functions.regression_losses import l1_loss as l1_loss
from fastact.functions.regression_losses import l1_loss_with_grad as l1_loss_with_grad
from fastact.functions.regression_losses import huber_loss as huber_loss
from fastact.functions.regression_losses import huber_loss_with_grad as huber_loss_with_grad
from fastact.functions.regression_losses import smooth_l1_loss as smooth_l1_loss
from fastact.functions.regression_losses import smooth_l1_loss_with_grad as smooth_l1_loss_with_grad
from fastact.functions.regression_losses import log_cosh as log_cosh
from fastact.functions.regression_losses import log_cosh_with_grad as log_cosh_with_grad
from fastact.functions.divergences import kl_div as kl_div
from fastact.functions.divergences import kl_div_with_grad as kl_div_with_grad
from fastact.functions.divergences import js_div as js_div
from fastact.functions.divergences import js_div_with_grad as js_div_with_grad

__version__: str
__all__: list[str]
ops: dict[str, Op]

exp: np.ufunc
expm1: np.ufunc
log: np.ufunc
log1p: np.ufunc
erf: np.ufunc
def elu(x: ArrayLike, alpha: ArrayLike = 1.0, out: NDArray[Any] | None = None, **ufunc_arguments: Any) -> Any: ...
def elu_backward(grad: ArrayLike, x: ArrayLike, alpha: ArrayLike = 1.0, out: NDArray[Any] | None = None, **ufunc_arguments: Any) -> Any: ...
selu: np.ufunc
selu_backward: np.ufunc
def celu(x: ArrayLike, alpha: ArrayLike = 1.0, out: NDArray[Any] | None = None, **ufunc_arguments: Any) -> Any: ...
def celu_backward(grad: ArrayLike, x: ArrayLike, alpha: ArrayLike = 1.0, out: NDArray[Any] | None = None, **ufunc_arguments: Any) -> Any: ...
silu: np.ufunc
silu_backward: np.ufunc
quick_gelu: np.ufunc
quick_gelu_backward: np.ufunc
gelu: np.ufunc
gelu_backward: np.ufunc
gelu_tanh: np.ufunc
gelu_tanh_backward: np.ufunc
mish: np.ufunc
mish_backward: np.ufunc
def squareplus(x: ArrayLike, b: ArrayLike = 4.0, out: NDArray[Any] | None = None, **ufunc_arguments: Any) -> Any: ...
def squareplus_backward(grad: ArrayLike, x: ArrayLike, b: ArrayLike = 4.0, out: NDArray[Any] | None = None, **ufunc_arguments: Any) -> Any: ...
relu: np.ufunc
relu_backward: np.ufunc
relu6: np.ufunc
relu6_backward: np.ufunc
def leaky_relu(x: ArrayLike, negative_slope: ArrayLike = 0.01, out: NDArray[Any] | None = None, **ufunc_arguments: Any) -> Any: ...
def leaky_relu_backward(grad: ArrayLike, x: ArrayLike, negative_slope: ArrayLike = 0.01, out: NDArray[Any] | None = None, **ufunc_arguments: Any) -> Any: ...
def prelu(x: ArrayLike, weight: ArrayLike, out: NDArray[Any] | None = None, **ufunc_arguments: Any) -> Any: ...
def prelu_backward(grad: ArrayLike, x: ArrayLike, weight: ArrayLike, out: tuple[NDArray[Any] | None, NDArray[Any] | None] | None = None) -> Any: ...
def rrelu(x: ArrayLike, lower: ArrayLike = 0.125, upper: ArrayLike = 0.3333333333333333, training: bool = False, rng: Any = None, out: NDArray[Any] | None = None, **ufunc_arguments: Any) -> Any: ...
def rrelu_backward(grad: ArrayLike, x: ArrayLike, lower: ArrayLike = 0.125, upper: ArrayLike = 0.3333333333333333, slopes: ArrayLike | None = None, out: NDArray[Any] | None = None, **ufunc_arguments: Any) -> Any: ...
def hard_tanh(x: ArrayLike, min_val: ArrayLike = -1.0, max_val: ArrayLike = 1.0, out: NDArray[Any] | None = None, **ufunc_arguments: Any) -> Any: ...
def hard_tanh_backward(grad: ArrayLike, x: ArrayLike, min_val: ArrayLike = -1.0, max_val: ArrayLike = 1.0, out: NDArray[Any] | None = None, **ufunc_arguments: Any) -> Any: ...
hard_sigmoid: np.ufunc
hard_sigmoid_backward: np.ufunc
hard_swish: np.ufunc
hard_swish_backward: np.ufunc
def soft_shrink(x: ArrayLike, lambd: ArrayLike = 0.5, out: NDArray[Any] | None = None, **ufunc_arguments: Any) -> Any: ...
def soft_shrink_backward(grad: ArrayLike, x: ArrayLike, lambd: ArrayLike = 0.5, out: NDArray[Any] | None = None, **ufunc_arguments: Any) -> Any: ...
def hard_shrink(x: ArrayLike, lambd: ArrayLike = 0.5, out: NDArray[Any] | None = None, **ufunc_arguments: Any) -> Any: ...
def hard_shrink_backward(grad: ArrayLike, x: ArrayLike, lambd: ArrayLike = 0.5, out: NDArray[Any] | None = None, **ufunc_arguments: Any) -> Any: ...
def threshold(x: ArrayLike, threshold: ArrayLike, value: ArrayLike, out: NDArray[Any] | None = None, **ufunc_arguments: Any) -> Any: ...
def threshold_backward(grad: ArrayLike, x: ArrayLike, threshold: ArrayLike, value: ArrayLike, out: NDArray[Any] | None = None, **ufunc_arguments: Any) -> Any: ...
sigmoid: np.ufunc
sigmoid_backward: np.ufunc
log_sigmoid: np.ufunc
log_sigmoid_backward: np.ufunc
softplus: np.ufunc
softplus_backward: np.ufunc
tanh: np.ufunc
tanh_backward: np.ufunc
tanh_shrink: np.ufunc
tanh_shrink_backward: np.ufunc
softsign: np.ufunc
softsign_backward: np.ufunc
swiglu: np.ufunc
def swiglu_backward(grad: ArrayLike, gate: ArrayLike, value: ArrayLike, /, *outs: NDArray[Any], **ufunc_arguments: Any) -> Any: ...
geglu: np.ufunc
def geglu_backward(grad: ArrayLike, gate: ArrayLike, value: ArrayLike, /, *outs: NDArray[Any], **ufunc_arguments: Any) -> Any: ...
reglu: np.ufunc
def reglu_backward(grad: ArrayLike, gate: ArrayLike, value: ArrayLike, /, *outs: NDArray[Any], **ufunc_arguments: Any) -> Any: ...
