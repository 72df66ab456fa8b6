"""The shop on a local cluster of three nodes, with customers, and nodes that die, freeze and come back.

python -m example_app.demo            # until Ctrl-C; the cluster is on http://127.0.0.1:5000/dashboard
python -m example_app.demo --shop django
python -m example_app.demo --once     # one death, two freezes; exit status 0 only if all went well

`command`: the arguments of the demo, its start and its end. `applications`: the shop with each framework. `serving`: a
server for it. `customers`: the load, in threads or in tasks. `script`: kills and freezes nodes. `account`: prints what
happens, and compares orders with stocks.
"""
