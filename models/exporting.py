"""What the export scripts share: the ONNX file and the recipe."""

import torch


def export(model, size, out):
    """Writes `model` for RGB images of `size`×`size`, with a free batch, in evaluation mode."""
    torch.onnx.export(
        model.eval(), torch.zeros(1, 3, size, size), out, input_names=["input"], output_names=["logits"],
        dynamic_axes={"input": {0: "batch"}, "logits": {0: "batch"}}, opset_version=17, dynamo=False,
    )


def recipe(size, shorter, filter_name, mean, std):
    """The TOML for `--preprocess`, as docs/preprocess.md describes it."""
    numbers = lambda values: ", ".join(f"{value:g}" for value in values)
    return (
        f'size = [{size}, {size}]\nresize = "shorter-side"\nshorter_side = {shorter}\nfilter = "{filter_name}"\n'
        f"mean = [{numbers(mean)}]\nstd = [{numbers(std)}]\n"
    )
