"""Pure values: types, ids, Arrow schemas, configuration, manifests, errors, protocols.

Nothing here imports another gristmill package, and only :mod:`schemas.config` needs pydantic and
:mod:`schemas.tables` needs pyarrow, so that a serving process can read a snapshot with
faiss, numpy and pyarrow alone.
"""
