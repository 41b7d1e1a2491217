"""Operations on windows of neighbouring entries: convolution and pooling."""
