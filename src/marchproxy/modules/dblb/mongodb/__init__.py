"""MongoDB: clients that see one mongos, and servers whose connections they share."""
