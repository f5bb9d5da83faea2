"""Late interaction: many vectors a unit, ranked by the sum of best cosines (MaxSim, Khattab and Zaharia 2020).

A segment holds an encoding of each unit (fde.py) in an index of a dense family, which gives candidates, and the unit's
own vectors, quantised (codecs.py, store.py), which rank them (maxsim.py). faiss, numpy and pyarrow search it.
"""
