entry = LogEntry(...)

# Serialization
entry_dict = entry.to_dict()
entry_json = entry.to_json()
