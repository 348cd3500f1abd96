"""The operations of Lambda's API as plain asynchronous functions, grouped by noun.

Each takes the emulator and AWS's members in snake_case, answers with AWS's members, and raises `LambdaError`.
"""
