"""The actions of the Step Functions API as plain asynchronous functions, grouped by noun: no HTTP, no wire casing."""
