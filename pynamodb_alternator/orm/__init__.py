"""How does PynamoDB see the cluster?

`model` has the base class of models, and `install` the patch for plain ones. Both give a model a connection of its own
(`model_connection`), which uses an `AlternatorConnection` (`connection`) with the settings of the model's `Meta`
(`connection_settings`). A request finds its cluster once, and stays there (`under_way`).

`instances` has the functions that make model instances from items, and items from instances. `loading` and `saving`
write the source of these functions, for a class whose `shape` allows it; `generated` compiles it; `wire_values` has the
conversions; and `unchanged` decides how long the functions may be used. `pages` has the results that are loaded page by
page, `plain_models` gives the same methods to plain models, and `batch` keeps the items that a failed batch did not
write.

`vector_attribute` and `vector_index` are for vector search in models; `vector_index_async` is the index for an event
loop, `vector_filter` has the conditions of a search, and `vector_results` the items that it has found.

`_pynamodb` has everything of PynamoDB that this package uses beyond its public methods.
"""
