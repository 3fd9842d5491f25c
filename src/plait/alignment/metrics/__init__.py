"""How well modalities are aligned: who finds whom (retrieval), and how they lie (geometry)."""
