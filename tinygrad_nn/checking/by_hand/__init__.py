"""Pictures of data, of learning and of what was learnt; whose backprop is wrong."""
