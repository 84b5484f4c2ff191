"""What a stack will cost: the program under the mock monitor, its resources times list prices."""
