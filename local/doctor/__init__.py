"""What a machine and an account still lack to deploy a stack, before `pulumi up` fails in the middle."""
