"""What the makers of the nets and their clients must agree on; imports nothing, because they run in different environments."""

NETS = ("r18", "r18-uint8", "unet", "unet-uint8")
SIDE = 224
# ImageNet's mean and standard deviation of red, green and blue, for bytes.
MEAN = (123.675, 116.28, 103.53)
DEVIATION = (58.395, 57.12, 57.375)
