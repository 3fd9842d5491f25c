"""Pretrained models of other libraries behind one small interface, for encoders to build on.

A vision backbone maps uint8 images to a grid of tokens, a text backbone maps instructions to a
sequence of tokens. Widths, image size, mean, standard deviation and tokenizer are the model's own.
"""
