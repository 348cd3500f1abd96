"""What every HTTP API of ours needs: a server, who asks, requests read and checked, what is counted."""
