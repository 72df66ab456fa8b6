"""What all shops share, without a web framework.

`models`: the tables. `trade`: what a shop does, and does once, whatever happens to the nodes. `pages`: what each web
page shows. `tokens`: the token in their forms. `words`: numbers with their nouns. `traffic`: where requests went, from
the library's signals. `looks`: how long visitors wait for what they look at. `dashboard`: a live picture of the
cluster. `faults`: the buttons that kill, freeze and revive a node of an embedded cluster.
"""
