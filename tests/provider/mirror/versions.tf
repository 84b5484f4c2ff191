# The version that `terraform providers mirror` fetches for the tests; pulumi-aws 7 bridges version 6 of it.
terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0"
    }
  }
}
