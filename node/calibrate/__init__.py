"""`kilnet calibrate`: how far honest machines of two numerics classes are apart, how far cheats are, and the limits
between the two. It runs the real runners over small scenes and models, honestly and cheating, on both classes.
"""
