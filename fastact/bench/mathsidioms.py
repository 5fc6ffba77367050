"""What careful users write for NumPy's and SciPy's elementary functions; see ``idioms.py``."""

from .idiom import Idiom

MATHS = {
    "exp2": Idiom(
        "np.exp2(x, out=out)",
        "torch.exp2(x, out=out)",
        jax="jnp.exp2(x)",
    ),
    "log2": Idiom(
        "np.log2(x, out=out)",
        "torch.log2(x, out=out)",
        jax="jnp.log2(x)",
    ),
    "log10": Idiom(
        "np.log10(x, out=out)",
        "torch.log10(x, out=out)",
        numexpr="log10(x)",
        jax="jnp.log10(x)",
    ),
    "sinh": Idiom(
        "np.sinh(x, out=out)",
        "torch.sinh(x, out=out)",
        numexpr="sinh(x)",
        jax="jnp.sinh(x)",
        onnx="Sinh",
    ),
    "cosh": Idiom(
        "np.cosh(x, out=out)",
        "torch.cosh(x, out=out)",
        numexpr="cosh(x)",
        jax="jnp.cosh(x)",
        onnx="Cosh",
    ),
    "sin": Idiom(
        "np.sin(x, out=out)",
        "torch.sin(x, out=out)",
        numexpr="sin(x)",
        jax="jnp.sin(x)",
        onnx="Sin",
    ),
    "cos": Idiom(
        "np.cos(x, out=out)",
        "torch.cos(x, out=out)",
        numexpr="cos(x)",
        jax="jnp.cos(x)",
        onnx="Cos",
    ),
    "arctan": Idiom(
        "np.arctan(x, out=out)",
        "torch.arctan(x, out=out)",
        numexpr="arctan(x)",
        jax="jnp.arctan(x)",
        onnx="Atan",
    ),
    "cbrt": Idiom(
        "np.cbrt(x, out=out)",
        jax="jnp.cbrt(x)",
    ),
    "logaddexp": Idiom(
        "np.logaddexp(x, value, out=out)",
        "torch.logaddexp(x, value, out=out)",
        jax="jnp.logaddexp(x, value)",
    ),
    "logaddexp2": Idiom(
        "np.logaddexp2(x, value, out=out)",
        "torch.logaddexp2(x, value, out=out)",
        jax="jnp.logaddexp2(x, value)",
    ),
    "power": Idiom(
        "np.power(x, value, out=out)",
        "torch.pow(x, value, out=out)",
        jax="jnp.power(x, value)",
    ),
    "hypot": Idiom(
        "np.hypot(x, value, out=out)",
        "torch.hypot(x, value, out=out)",
        jax="jnp.hypot(x, value)",
    ),
    "logit": Idiom("special.logit(x, out=out)", "torch.logit(x, out=out)"),
    "erfc": Idiom("special.erfc(x, out=out)", "torch.erfc(x, out=out)"),
    "ndtr": Idiom("special.ndtr(x, out=out)", "torch.special.ndtr(x, out=out)"),
    "log_ndtr": Idiom("special.log_ndtr(x, out=out)", "torch.special.log_ndtr(x, out=out)"),
    "entr": Idiom("special.entr(x, out=out)", "torch.special.entr(x, out=out)"),
    "xlogy": Idiom("special.xlogy(x, value, out=out)", "torch.xlogy(x, value, out=out)"),
    "xlog1py": Idiom("special.xlog1py(x, value, out=out)", "torch.special.xlog1py(x, value, out=out)"),
    "rel_entr": Idiom("special.rel_entr(x, value, out=out)"),
    "kl_div_terms": Idiom("special.kl_div(x, value, out=out)"),
    "huber_terms": Idiom("special.huber(x, value, out=out)"),
    "pseudo_huber": Idiom("special.pseudo_huber(x, value, out=out)"),
}
