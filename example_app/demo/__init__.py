"""The shop on a local cluster of three nodes, with customers, and nodes that die, freeze and come back.

python -m example_app.demo            # until Ctrl-C; the cluster is on http://127.0.0.1:5000/dashboard
python -m example_app.demo --shop django
python -m example_app.demo --once     # one death, two freezes; exit status 0 only if all went well

`command`: arguments, beginning and end. `applications`: the shop with each framework. `serving`: a server for it.
`customers`: the load, in threads or in tasks. `script`: what happens to the nodes. `account`: what is printed, and
the books.
"""
