"""The common part of all shops, without a web framework.

`models`: the tables. `trade`: the functions of a shop, which take effect once, whatever happens to the nodes. `carts`:
the carts of customers. `books`: compares stocks with orders. `pages`: the content of each web page. `tokens`: the token
in the forms of the pages. `words`: numbers with their nouns. `traffic`: counts where requests went, from the library's
signals. `looks`: how long visitors wait for the products that they look at. `dashboard`: a live picture of the cluster.
`faults`: the buttons that kill, freeze and revive a node of an embedded cluster.
"""
