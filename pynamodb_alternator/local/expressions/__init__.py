"""DynamoDB's expressions as Alternator understands them: parsed, checked, and applied to items.

Pure: text, parameters and items in, a verdict, an item or a `DialectError` out. An engine in process leaves conditions,
filters, projections and updates to this room, because moto's own differ from the server's in many places. `parser`
makes the trees of `tree`; `references` resolves ``#names`` and ``:values``; `values` compares; `conditions`, `updates`
and `projections` apply trees to an item; `legacy` does the same for the parameters that were there before expressions.
"""
