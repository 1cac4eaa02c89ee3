"""What a model means: values, operations, programs; knows no machine."""
